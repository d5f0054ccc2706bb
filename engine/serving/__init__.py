"""The API for others: OpenAI-compatible HTTP in front of the model servers, and a page for a browser."""
