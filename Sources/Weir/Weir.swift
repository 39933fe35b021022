// The room Weir; see docs/HOUSE.md.
