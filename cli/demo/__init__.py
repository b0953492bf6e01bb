"""The demo case (domain catalogue, part 3.1): one fictional drunk-driving case in 27 packets, as data.

All agencies, persons and numbers are fictional.
"""
