"""Looking: what one pass computes, what the heads attend to, and how training went. Nothing here changes any of it."""
