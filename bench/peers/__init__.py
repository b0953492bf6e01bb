"""What somebody would use instead, set up for the bench with the settings that suit each best."""
