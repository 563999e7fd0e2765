"""Published methods, one a file: each names its parts."""
