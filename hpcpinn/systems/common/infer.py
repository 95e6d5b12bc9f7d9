"""``hpcpinn infer`` of a system whose problem says what would be observed."""
