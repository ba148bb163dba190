"""One flow as several processes: who starts them, watches them, and starts them again from the last snapshot."""
