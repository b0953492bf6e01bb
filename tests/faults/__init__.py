"""Faults: crashes at every durable step, full disks, torn and repeated deliveries."""
