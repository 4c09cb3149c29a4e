"""What is done with a checkpoint and scans: predict, explain, and whether its maps are true."""
