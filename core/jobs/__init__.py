"""What outlives its caller: the queue, its worker, member trainings and experiments."""
