dist_man_MANS += man/unatatp.7 man/unatatp.8 man/unatatp.conf.5
