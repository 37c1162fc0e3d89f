"""Side by side on one data set: models, floor, ceiling, twins, a person's own estimators and files of rows."""

from begat.compare.curve import LearningCurve as LearningCurve
from begat.compare.learning_curve import learning_curve as learning_curve
from begat.compare.plan import Plan as Plan
from begat.compare.report import Report as Report
from begat.compare.run import Progress as Progress
from begat.compare.run import compare as compare
