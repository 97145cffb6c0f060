"""One figure a file: ``draw(section, data)`` gives a `Plot`, or None where there is nothing to draw."""
