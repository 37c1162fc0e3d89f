"""A person's data to tensors and back, losslessly where it can be. No network knowledge."""
