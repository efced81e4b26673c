//! MediaPipe's palm detector.

use crate::vision::{self, SsdDecoder};

use super::ports::Ports;
use super::{Finding, Glue, GlueError, Inputs, Kind, Outputs, Regions, Scene};

/// `mediapipe-palm`: letterbox, anchors and weighted NMS, squares about the hands.
#[derive(Debug)]
pub(super) struct Palm {
    decoder: SsdDecoder,
    ports: Ports,
    regressors: usize,
    scores: usize,
}

impl Palm {
    pub(super) fn bind(ports: &Ports) -> Result<Self, GlueError> {
        let decoder = SsdDecoder::palm()?;
        let anchors = decoder.anchors().len();
        let side = decoder.side();
        if ports.image_side()? != side {
            let found = format!("side {}", ports.image_side()?);
            return Err(GlueError::Port { wanted: format!("input [1, {side}, {side}, 3]"), found });
        }
        Ok(Self {
            regressors: ports.output(&[1, anchors, 18], 0)?,
            scores: ports.output(&[1, anchors, 1], 0)?,
            ports: ports.clone(),
            decoder,
        })
    }
}

impl Glue for Palm {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        let (input, _) = vision::letterbox(scene.image, self.decoder.side())?;
        Ok(vec![vec![input]])
    }

    fn interpret(
        &self,
        scene: &Scene<'_>,
        outputs: &[Outputs],
    ) -> Result<Option<Finding>, GlueError> {
        let image = scene.image;
        let place = vision::Letterbox::new(image.width(), image.height(), self.decoder.side())?;
        let mut found = Regions { squares: Vec::new(), bounds: Vec::new(), scores: Vec::new() };
        for outputs in outputs {
            let regressors = self.ports.elements(outputs, self.regressors)?;
            let scores = self.ports.elements(outputs, self.scores)?;
            // Outputs that are no numbers find nothing: a variant may be that bad.
            let Ok(palms) = self.decoder.decode(&regressors, &scores) else { continue };
            for palm in palms.iter().map(|palm| palm.to_image(&place)) {
                if let Ok(square) = vision::hand_square(&palm) {
                    found.squares.push(square);
                    found.bounds.push(palm.bounds);
                    found.scores.push(palm.score);
                }
            }
        }
        Ok((!found.squares.is_empty()).then_some(Finding::Regions(found)))
    }

    fn finds(&self) -> Kind {
        Kind::Regions
    }
}
