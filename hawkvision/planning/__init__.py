"""What a rate of images will take: processors, link and waiting, from a task's own calibration."""
