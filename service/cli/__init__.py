"""The command line, `smile`: predict, serve, model, mcp, openapi."""
