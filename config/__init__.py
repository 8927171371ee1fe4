"""What the operator decides: settings with units and reasons, and how logs look."""
