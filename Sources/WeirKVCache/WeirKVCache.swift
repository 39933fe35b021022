// The room WeirKVCache; see docs/HOUSE.md.
