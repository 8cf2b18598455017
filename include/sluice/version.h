/* version.h - which Sluice this is */
#ifndef SLUICE_VERSION_H
#define SLUICE_VERSION_H

#define SL_VERSION_MAJOR 0
#define SL_VERSION_MINOR 1
#define SL_VERSION_PATCH 0
#define SL_VERSION "0.1.0"

/* The TensorFlow Serving release whose behaviour is the contract: the first line of --version. */
#define SL_SERVING_VERSION "2.21.0"

/* The GraphDef producer version up to which the native engine knows every op that it claims. */
#define SL_GRAPH_VERSION 2474

#endif
