"""What case software, its folders and its people may do to the intake: rows F20 to F37."""
