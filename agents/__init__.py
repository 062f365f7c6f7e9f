"""What each stage decides: pure and async; no Kafka, no Redis client, no environment, no clock of its own."""
