"""Controls: what else can explain a figure."""
