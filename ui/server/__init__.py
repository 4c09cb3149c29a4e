"""What stands around the pages on the server: who may come in, and what stays when he has gone."""
