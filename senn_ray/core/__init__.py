"""Words that cross rooms: errors, seeds, records, events, versions, files."""
