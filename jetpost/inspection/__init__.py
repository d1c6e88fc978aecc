"""What `jetpost inspect` says of a callback, a reply or a bounce, as data: the formats are documented in docs/inspect.md."""
