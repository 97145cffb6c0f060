"""How one head group's dilated windows become one set of keys and values. One aggregator a file."""
