// The room WeirEngine; see docs/HOUSE.md.
