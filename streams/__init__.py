"""Everything that touches Kafka, Redis, the process or the clock."""
