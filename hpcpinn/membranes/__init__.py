"""Membranes that come with hpcpinn: channels by region, one file each (`hpcpinn.physics.membrane_tables`)."""
