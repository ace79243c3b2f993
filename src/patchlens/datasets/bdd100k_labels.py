"""The folders of BDD100K's tracking labels, and the alternative names of its classes."""

LABELS = ("labels/box_track_20", "labels-20/box-track")  # the release and an older one
ALIASES = {
    "bike": "bicycle",
    "caravan": "car",
    "motor": "motorcycle",
    "person": "pedestrian",
    "van": "car",
}
