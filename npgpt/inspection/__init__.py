"""Inspection: what one pass computes, what the heads attend to, and how training went. It changes nothing in them."""
