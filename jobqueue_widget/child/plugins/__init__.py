"""What runs in the worker of a plugin, in the plugin's own environment."""
