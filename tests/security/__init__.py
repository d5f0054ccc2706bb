"""Who can do what, and what keeps them from more: the tests behind docs/security.md."""
