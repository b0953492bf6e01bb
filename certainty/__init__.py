"""The programme that shows whether packets are lost, doubled or altered when things break."""
