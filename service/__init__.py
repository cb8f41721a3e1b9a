"""The gateway: takes uploaded clips, runs the pipeline on a backend, answers in JSON. Free of torch."""
