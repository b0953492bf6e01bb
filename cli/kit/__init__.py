"""The vendor kit: everything that a maker of case software needs to try packets at his own desk.

Made from the catalogue, the schemas and the invented packets of ``cli.fiction``; runs on any system.
"""
