// Tests of the room; see docs/HOUSE.md.
