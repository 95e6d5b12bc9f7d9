"""How descriptions are read: lines, values, checks and tables that systems share."""
