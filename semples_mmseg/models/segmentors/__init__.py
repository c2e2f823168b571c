"""Segmentors: the CAM classifier of stage 0, SemPLeS, and the model of retraining."""
