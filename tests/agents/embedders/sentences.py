"""Natural sentences, and their vectors by sentence-transformers 6.2 on torch 2.15 (`reference.npy`)."""

from pathlib import Path

SENTENCES = (
    "The ferry leaves at 9:30 from pier 4.",
    "How do I reset my password?",
    "Kafka partitions are the unit of parallelism in a consumer group.",
    "The committee rejected the proposal after a long debate about its cost.",
    "Refunds are paid within 3 business days.",
    "Où est la gare, s'il vous plaît ?",
    "A fox that had not eaten for days crept into the garden. " * 12,
)
REFERENCE = Path(__file__).with_name("reference.npy")
