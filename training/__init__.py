"""How the encoders that Sluicegate ships were trained: data, seeds, figures. Run with the torch extra."""
