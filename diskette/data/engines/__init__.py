"""What each database does in its own way: the instant, bulk reading, staging, apply."""
