"""The data model and the driver of charts/floe-cube in a real Cube, over an embedded lake."""
