"""The JSON of requests and answers, a file for each kind of thing."""
