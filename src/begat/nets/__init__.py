"""Networks: ordinary modules, built from the sizes of what they read and write."""
