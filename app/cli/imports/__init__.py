"""What other platforms have jobs described by, as files that `jobyard apply` takes."""
