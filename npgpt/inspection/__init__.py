"""Inspection: what one pass computes, what the heads attend to, and how training went. It only observes."""
