"""The documents and the shape of the code are held to what they say."""
