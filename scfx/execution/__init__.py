"""Where and how a lane runs."""
